"""What answers: models, sessions with them, and the judging endpoint that runs here."""
