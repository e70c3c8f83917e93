/** Which root this is, whether its daemon is up, and what this page may ask. Kept by the frame. */
import { computed, signal } from "@preact/signals";
import type { Here } from "../../views/here.ts";

export const here = signal<Here | undefined>(undefined);

/** Whether buttons that ask for something are shown. */
export const mayOperate = computed(() => here.value?.may === "operate");

/** Whether the daemon is known to be down: requests then wait for the next one. */
export const isDown = computed(() => here.value !== undefined && here.value.daemon === null);
