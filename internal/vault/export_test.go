package vault

// Sweep is one round of Run.
var Sweep = (*Server).sweep
