"""The front page of the platform: what is up, what came in, what ran, what failed, and the links.

Server-rendered and without scripts. It watches the services in the background, so a page costs a
template and nothing else, also while services are down. It only reads: Postgres as the role that
sees the operations views, services over their health addresses.
"""
