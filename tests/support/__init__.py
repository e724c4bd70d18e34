"""What demo and end-to-end tests share: kubectl and helm as a person would type them."""
