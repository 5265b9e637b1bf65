// A client as its author would write it; it has to compile, and is not run.

import createClient from "openapi-fetch";
import type { components, operations, paths } from "./service";
import type { components as Careless } from "./careless";

type Item = components["schemas"]["items.Item"];
type Failure = components["schemas"]["Error"];

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8000" });

/** Show what is wrong with each field; `errors` is only there if a field is wrong. */
function explain(failure: Failure): string {
  const lines = Object.entries(failure.errors ?? {}).map(
    ([field, texts]: [string, string[]]) => `${field}: ${texts.join(" ")}`,
  );
  return [`${failure.status} ${failure.message}`, ...lines].join("\n");
}

// The body of the README: a field with a default may be left out.
export async function create(): Promise<Item> {
  const { data, error } = await client.POST("/api/items/", { body: { name: "Claw hammer" } });
  if (error !== undefined) {
    throw new Error(explain(error));
  }
  return data;
}

/** Replace an item unless another client has changed it meanwhile. */
export async function rename(id: number, name: string): Promise<Item | "changed" | "gone"> {
  const before = await client.GET("/api/items/{item_id}", { params: { path: { item_id: id } } });
  if (before.data === undefined) {
    return "gone";
  }
  const description: string | null = before.data.description;
  const { data, error } = await client.PUT("/api/items/{item_id}", {
    params: {
      path: { item_id: id },
      header: { "If-Match": before.response.headers.get("ETag") ?? "*" },
    },
    body: { name, description },
  });
  if (error !== undefined) {
    if (error.status === 412) {
      return "changed";
    }
    throw new Error(explain(error));
  }
  return data;
}

export async function remove(id: number, tag: string): Promise<void> {
  const { error } = await client.DELETE("/api/items/{item_id}", {
    params: { path: { item_id: id }, header: { "If-Match": tag } },
  });
  if (error !== undefined) {
    throw new Error(explain(error));
  }
}

/** Read a page; each parameter may be left out, and an item that is known is not sent again. */
export async function look(tag: string): Promise<number> {
  const page = await client.GET("/api/items/", { params: { query: { sort: "-id" } } });
  await client.GET("/api/items/");
  await client.GET("/api/items/{item_id}", {
    params: { path: { item_id: 1 }, header: { "If-None-Match": tag } },
  });
  const { data } = await client.GET("/health/ready");
  return (page.data ?? []).length + Object.keys(data?.checks ?? {}).length;
}

// What an answer tells about the next request.
export type Told = [
  operations["replace_item"]["responses"][412]["headers"]["ETag"],
  operations["replace_item"]["responses"][503]["headers"]["Retry-After"],
  operations["list_items"]["responses"][429]["headers"]["Retry-After"],
  operations["create_item"]["responses"][308]["headers"]["Location"],
  operations["get_health"]["responses"][200]["headers"]["X-Request-ID"],
  operations["get_readiness"]["responses"][503]["content"]["application/json"]["message"],
];
const told: Told = ['"1"', 1, 1, "/api/items/", "request-1", "not ready: database"];
void told;

// @ts-expect-error: the name is required.
const nameless: components["schemas"]["items.ItemInput"] = { description: null };
void nameless;

// A plugin that documents no more than it has to: its fields with defaults may be left out, too.
const things: Careless["schemas"]["careless.Thing"][] = [{}, { lines: [{}], size: "large", note: null }];
void things;
