"""The next-code logits of whole prefixes, chosen code by code."""


def logits_after(policy, state, rows_N, heads_N, codes_NP):
    """Extend empty prefixes by given codes and score what may follow."""
    prefixes = policy.begin(state, rows_N, heads_N)
    everyone = rows_N.new_tensor(range(len(rows_N)))
    for code_N in codes_NP.unbind(1):
        prefixes = policy.extend(prefixes, everyone, code_N)
    return policy.child_logits(prefixes)
