/**
 * Orders a pipeline's steps: each comes after all that it needs, and otherwise in the order of the
 * file.
 *
 * Depth first, with an explicit stack: a chain of 10,000 steps is deeper than JavaScript's own
 * stack.
 */

/**
 * The ids in order, or a cycle: `[a, b, a]` if a needs b and b needs a. A need that names no known
 * id is ignored.
 */
export function orderSteps(
  needs: ReadonlyMap<string, readonly string[]>,
): { readonly order: readonly string[] } | { readonly cycle: readonly string[] } {
  const order: string[] = [];
  const done = new Set<string>();
  for (const first of needs.keys()) {
    if (done.has(first)) continue;
    const path = [{ id: first, next: 0 }];
    const onPath = new Set([first]);
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const need = needs.get(top.id)![top.next];
      if (need === undefined) {
        path.pop();
        onPath.delete(top.id);
        done.add(top.id);
        order.push(top.id);
        continue;
      }
      top.next += 1;
      if (onPath.has(need)) {
        const ids = path.map(({ id }) => id);
        return { cycle: [...ids.slice(ids.indexOf(need)), need] };
      }
      if (done.has(need) || !needs.has(need)) continue;
      path.push({ id: need, next: 0 });
      onPath.add(need);
    }
  }
  return { order };
}
