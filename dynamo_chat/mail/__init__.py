"""E-mail conversations: threads, e-mails, expected-value scores."""
