"""The control plane: wires judges, models, data and stores into commands; nobody imports it."""
