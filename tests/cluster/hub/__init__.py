"""A small server that speaks the Hugging Face hub's protocol, for clusters without internet."""
