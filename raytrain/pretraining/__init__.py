"""An encoder learns of texts without labels: masked language modelling, from any encoder or from nothing."""
