/** What any program needs of the environment that it is started from. */
const INHERITED = ["PATH", "HOME", "LANG", "TZ"] as const;

/** The variables of a daemon or a runner that each step gets (docs/semantics.md 16). */
export function inheritedEnvironment(
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = own[name];
    if (value !== undefined) inherited[name] = value;
  }
  return inherited;
}
