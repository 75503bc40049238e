"""How much the loss rises around a trained network, by every definition in use."""
