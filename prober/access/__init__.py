"""Who may do what on the web server: decided in values; bcrypt and OpenSSL stand at the edges."""
