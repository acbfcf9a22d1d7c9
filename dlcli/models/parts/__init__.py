"""What models share: no models themselves."""
