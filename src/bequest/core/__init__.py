"""The words everything else is said in; imports neither torch nor any other room."""
