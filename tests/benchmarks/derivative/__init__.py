"""What samples are worth: measured beside peers, and against what is known of them."""
