"""Every activation that relucid knows, one declaration each, a file a family."""
