# From the documented configuration to that of an installed service.
s|^url = "sqlite:registrations.db"|url = "sqlite:/var/lib/website/registrations.db"|
s|^api_key_env = |#&|
s|^#\(api_key_file = \)|\1|
s|^#path = "state.db"|path = "/var/lib/rosterd/state.db"|
