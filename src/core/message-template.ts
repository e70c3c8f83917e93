/**
 * The templates of messages: `{{pipeline}} failed: {{because}}`. Words are replaced once: what they
 * put in is text and is not looked at again. Other braces stay as they are.
 */
import { didYouMean } from "./did-you-mean.ts";

/** The words that a template may have. */
export const TEMPLATE_WORDS = [
  "kind",
  "pipeline",
  "run",
  "status",
  "because",
  "at",
  "count",
  "log",
  "url",
  "command",
] as const;

/** One of {@link TEMPLATE_WORDS}. */
export type TemplateWord = (typeof TEMPLATE_WORDS)[number];

const PLACE = /\{\{\s*([^{}]{0,80}?)\s*\}\}/g;

/** What is wrong with a template, as the end of a sentence about it; undefined if nothing is. */
export function messageTemplateFault(template: string): string | undefined {
  for (const [all, word] of template.matchAll(PLACE))
    if (!isWord(word!))
      return (
        `has ${all}, which nothing replaces: the words are ${TEMPLATE_WORDS.join(", ")}` +
        didYouMean(word!, TEMPLATE_WORDS)
      );
  return undefined;
}

/** The template with its words replaced. Words that it may not have stay as they are. */
export function fillMessageTemplate(
  template: string,
  words: Readonly<Record<TemplateWord, string>>,
): string {
  return template.replace(PLACE, (all, word: string) => (isWord(word) ? words[word] : all));
}

function isWord(word: string): word is TemplateWord {
  return (TEMPLATE_WORDS as readonly string[]).includes(word);
}
