"""Judge and serve: what a judge is (`judging`) and the endpoint that hosts it (`serving`)."""
