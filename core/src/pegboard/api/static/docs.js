"use strict";

// Swagger UI's dark colours hang on a class; the browser's preference decides.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const target = document.getElementById("swagger-ui");
SwaggerUIBundle({
  domNode: target,
  url: target.dataset.document,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null, // the badge would send the document to another host
});
