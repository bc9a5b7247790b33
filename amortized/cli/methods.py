"""The methods of ``--compare`` as a user types them in Python; ``cli/baselines.py`` runs those of the same names."""

AS_TYPED = {
    **{name: f"{name}.run(guide.target, seed={{seed}})" for name in ("nuts", "smc", "mala", "hmc", "nested")},
    "auto_normal": "svi.run(guide.target, guide=AutoNormal, seed={seed})",
    "auto_multivariate_normal": "svi.run(guide.target, guide=AutoMultivariateNormal, seed={seed})",
    "auto_iaf_normal": "svi.run(guide.target, guide=AutoIAFNormal, seed={seed})",
}
