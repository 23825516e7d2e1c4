"""The gate: `check` holds a judge's `evidence` against a table of rules, each of which knows the `config`'s limits.

The rules stand in modules by what they look at: `rules_on_text`, `rules_on_figures`, `rules_on_judgments` and
`rules_on_perturbed`; `rule` is what each of them answers. `adversarial` chooses the pairs to perturb, `perturbations`
writes their texts, `rating_shift` measures how far they moved a judge's ratings.
"""
