"""What many annotators say together. Pure functions on data frames."""
