"""The Hugging Face hub: which encoders are known to fit, how it is asked, which files are wanted."""
