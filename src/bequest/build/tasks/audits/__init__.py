"""Built-in audits: tasks that look for what a model was made to forget."""
