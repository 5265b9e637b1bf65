"""Reviews of items: an example of a resource with permissions and an action."""
