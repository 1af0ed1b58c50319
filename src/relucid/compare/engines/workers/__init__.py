"""Workers in other processes: what they are sent, what they do, and what comes back."""
