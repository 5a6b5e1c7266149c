"""The rules themselves, a module for each thing that is looked at; `catalog` finds the classes in them."""
