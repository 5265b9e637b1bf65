"""A log of what all plugins write: an example of a listener to every model."""
