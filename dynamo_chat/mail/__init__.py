"""E-mail conversations: threads, e-mails and expected-value scores."""
