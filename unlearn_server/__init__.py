"""The service: takes deletion requests and proves that they were carried out."""
