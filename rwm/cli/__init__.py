"""The command line of rwm: parse, call a service, print. One module for each group of commands."""
