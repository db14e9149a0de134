"""The receiver: takes Alertmanager's notifications and says each alert in one readable line."""
