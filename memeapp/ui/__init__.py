"""The pages. `web.build_app` makes them from a wired `App`; nothing else imports gradio."""
