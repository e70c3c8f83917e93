/** Light or dark: as the system has it, until the switch says otherwise. */
import { signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";

const KEY = "orchd-theme";

export const theme = signal<Theme>(kept());
show(theme.value);

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

/** The next of auto, light and dark. */
export function nextTheme(): void {
  const next = { auto: "light", light: "dark", dark: "auto" } as const;
  theme.value = next[theme.value];
  show(theme.value);
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // Storage is forbidden here: the choice lasts as long as the page.
  }
}

function show(value: Theme): void {
  if (value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
}
