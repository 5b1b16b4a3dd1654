"""What encoders are trained to do: labels, hidden patches, reports."""
