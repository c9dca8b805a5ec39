"""HTTP: OpenAI's and Ollama's routes over one core, metrics, and the web page."""
