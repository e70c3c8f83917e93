/**
 * `orchd completion [bash|zsh]`: a script that completes commands, options, and the names of
 * pipelines and runs.
 *
 * Both scripts look into the runs folder themselves: to start orchd at each key press would be too
 * slow. bash expands the words that compgen gets, so only names without anything to expand get
 * there.
 */
import { basename } from "node:path";
import type { CommandContext, CommandSpec, OptionSpec } from "../command.ts";
import { COMMON_OPTIONS } from "../common-options.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";

/** Runs the command. */
export async function run({ args, terminal, commands }: CommandContext): Promise<ExitStatus> {
  const shell = args.text("shell") ?? basename(process.env["SHELL"] ?? "bash");
  if (shell !== "bash" && shell !== "zsh")
    throw usageError(`there is no completion for ${shell}; there is one for bash and one for zsh.`);
  terminal.ownText(shell === "bash" ? bashScript(commands) : zshScript(commands));
  return EXIT.done;
}

function optionsOf(options: Readonly<Record<string, unknown>>): string {
  return Object.keys({ ...options, ...COMMON_OPTIONS, help: 0 })
    .map((name) => `--${name}`)
    .join(" ");
}

/** The options of every command that take a value, as a pattern of both shells. */
const COMMON_VALUES = valueOptions(COMMON_OPTIONS)
  .flatMap(({ written }) => written)
  .join("|");

/** How bash finds the names of pipelines and runs. */
const BASH_NAMES = `\
# orchd completion for bash: put \`source <(orchd completion bash)\` into ~/.bashrc
# A run's id holds an @, at which bash would split the word.
COMP_WORDBREAKS="\${COMP_WORDBREAKS//@/}"
_orchd_runs_folder() {
  local word before="" root="\${ORCHD_ROOT:-.}" runs=""
  for word in "\${COMP_WORDS[@]}"; do
    # bash takes --root=/srv apart, and leaves ~/srv as it is.
    [ "$word" = "=" ] && continue
    case "$word" in "~/"*) word="$HOME/\${word#??}" ;; esac
    case "$before" in --root) root="$word" ;; --runs) runs="$word" ;; esac
    before="$word"
  done
  printf '%s' "\${runs:-$root/runs}"
}
_orchd_pipelines() {
  local folder
  for folder in "$(_orchd_runs_folder)"/*/; do
    [ -f "$folder/pipeline.jsonl" ] && basename "$folder"
  done | grep -x '[a-z0-9][a-z0-9_-]*'
}
# The newest runs. A month's folder may be empty: the next month's is made ahead.
_orchd_runs() {
  local folder="$(_orchd_runs_folder)/\${1%%@*}" month found=""
  case "$1" in *@*) ;; *) return ;; esac
  while IFS= read -r month; do
    found="$found$(ls -t "$month" 2>/dev/null | sed -n 's/\\.jsonl$//p' |
      grep -x '[a-z0-9][A-Za-z0-9_.@-]*' | head -n 50)"$'\\n'
    [ "$(grep -c . <<<"$found")" -ge 50 ] && break
  done < <(ls -dr "$folder"/[0-9]*-[0-9]*/ 2>/dev/null)
  head -n 50 <<<"$found"
}
`;

function bashScript(commands: readonly CommandSpec[]): string {
  const cases = commands.map(({ name, options, positionals, completes, words }) => {
    const targets = {
      pipeline: "$(_orchd_pipelines)",
      run: '$(_orchd_pipelines; _orchd_runs "$cur")',
      words: (words ?? []).join(" "),
      file: "",
      none: "",
    }[completes ?? "none"];
    const files = completes === "file" ? 1 : 0;
    const second = positionals.endsWith(" [file]")
      ? `\n      [ "$COMP_CWORD" -gt $((at + 1)) ] && files=1`
      : "";
    return `    ${name})
      options="${optionsOf(options)}"
      targets="${targets}"
      files=${files}${second} ;;`;
  });
  const names = commands.map(({ name }) => name).join(" ");
  return `${BASH_NAMES}_orchd() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command="" at=1
  local before="\${COMP_WORDS[COMP_CWORD - 1]}" options="" targets="" files=0
  # bash takes --status=failed apart, into three words.
  [ "$before" = "=" ] && before="\${COMP_WORDS[COMP_CWORD - 2]}"
  [ "$cur" = "=" ] && cur=""
  # Options of every command may stand before it.
  while [ "$at" -lt "$COMP_CWORD" ]; do
    case "\${COMP_WORDS[at]}" in
      ${COMMON_VALUES}) at=$((at + 1)); [ "\${COMP_WORDS[at]}" = "=" ] && at=$((at + 1)) ;;
      -*) ;;
      *) command="\${COMP_WORDS[at]}"; break ;;
    esac
    at=$((at + 1))
  done
  case "$command" in
    "")
      options="--version ${optionsOf({})}"
      targets="${names} --help --version"
      files=0 ;;
${cases.join("\n")}
    *) return ;;
  esac
  case "$command $before" in
${bashValues(commands)}
  esac
  case "$cur" in
    -*) COMPREPLY=( $(compgen -W "$options" -- "$cur") ) ;;
    *)
      if [ "$files" -eq 1 ]; then COMPREPLY=( $(compgen -f -- "$cur") )
      else COMPREPLY=( $(compgen -W "$targets" -- "$cur") ); fi ;;
  esac
}
complete -F _orchd orchd
`;
}

/** What bash offers after an option that takes a value. */
function bashValues(commands: readonly CommandSpec[]): string {
  const own = commands.flatMap(({ name, options }) => valueCases(`"${name} `, options));
  return [...own, ...valueCases('*" ', COMMON_OPTIONS)].join("\n");
}

function valueCases(begin: string, options: Readonly<Record<string, OptionSpec>>): string[] {
  return valueOptions(options).map(({ written, words }) => {
    const offered = `files=${words === "file" ? 1 : 0}; targets="${spaced(words)}"`;
    return `    ${written.map((each) => `${begin}${each}"`).join(" | ")}) ${offered} ;;`;
  });
}

/** The options that take a value: how each is written, and the words that it may have. */
function valueOptions(options: Readonly<Record<string, OptionSpec>>) {
  return Object.entries(options).flatMap(([name, { type, alias, values, choices }]) => {
    if (type === "boolean") return [];
    const written = [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])];
    return [{ written, words: values ?? choices ?? [] }];
  });
}

const spaced = (words: "file" | readonly string[]): string =>
  words === "file" ? "" : words.join(" ");

/** What zsh offers after an option that takes a value: nothing, where it may be any text. */
function zshValues(commands: readonly CommandSpec[]): string {
  const cases = (begin: string, options: Readonly<Record<string, OptionSpec>>): string[] =>
    valueOptions(options).map(({ written, words }) => {
      const some = words.length === 0 ? "" : `compadd -- ${spaced(words)}; `;
      const patterns = written.map((each) => `${begin}${each}"`).join(" | ");
      return `    ${patterns}) ${words === "file" ? "_files; " : some}return ;;`;
    });
  const own = commands.flatMap(({ name, options }) => cases(`"${name} `, options));
  return [...own, ...cases('*" ', COMMON_OPTIONS)].join("\n");
}

/** How zsh finds the names of pipelines and runs. */
const ZSH_NAMES = `\
#compdef orchd
# orchd completion for zsh: put \`source <(orchd completion zsh)\` into ~/.zshrc, after compinit
_orchd_runs_folder() {
  local root="\${ORCHD_ROOT:-.}" runs="" index word
  for (( index = 1; index <= \${#words}; index++ )); do
    word="\${words[index + 1]}"
    case "\${words[index]}" in
      --root=*|--runs=*) word="\${words[index]#*=}" ;;
    esac
    case "$word" in "~/"*) word="$HOME/\${word#??}" ;; esac
    case "\${words[index]}" in
      --root|--root=*) root="$word" ;;
      --runs|--runs=*) runs="$word" ;;
    esac
  done
  print -r -- "\${runs:-$root/runs}"
}
_orchd_pipelines() {
  local file
  for file in "$(_orchd_runs_folder)"/*/pipeline.jsonl(N); do print -r -- "\${file:h:t}"; done
}
_orchd_runs() {
  [[ "$PREFIX" == *@* ]] || return
  print -rl -- "$(_orchd_runs_folder)/\${PREFIX%%@*}"/*/*.jsonl(N.om[1,50]:t:r)
}
`;

function zshScript(commands: readonly CommandSpec[]): string {
  const described = commands.map(
    ({ name, describe }) =>
      `    '${name}:${describe.replaceAll(":", "\\:").replaceAll("'", "'\\''")}'`,
  );
  const cases = commands.map(({ name, options, completes, words }) => {
    const targets = {
      pipeline: "compadd -- $(_orchd_pipelines)",
      run: "compadd -- $(_orchd_pipelines) $(_orchd_runs)",
      words: `compadd -- ${(words ?? []).join(" ")}`,
      file: "_files",
      none: ":",
    }[completes ?? "none"];
    return `    ${name})
      if [[ "$PREFIX" == -* ]]; then compadd -- ${optionsOf(options)}
      else ${targets}; fi ;;`;
  });
  return `${ZSH_NAMES}_orchd() {
  local -a commands
  commands=(
${described.join("\n")}
  )
  # Options of every command may stand before it.
  integer at=2
  while (( at < CURRENT )) && [[ "\${words[at]}" == -* ]]; do
    case "\${words[at]}" in ${COMMON_VALUES}) (( at++ )) ;; esac
    (( at++ ))
  done
  if (( CURRENT == at )) && [[ "$PREFIX" != -*=* ]]; then
    if [[ "$PREFIX" == -* ]]; then compadd -- --version ${optionsOf({})}
    else _describe command commands; fi
    return
  fi
  local command="" before="\${words[CURRENT - 1]}"
  # --status=failed is one word.
  if [[ "$PREFIX" == --*=* ]]; then before="\${PREFIX%%=*}"; compset -P 1 '*='; fi
  (( at < CURRENT )) && command="\${words[at]}"
  case "$command $before" in
${zshValues(commands)}
  esac
  case "$command" in
${cases.join("\n")}
  esac
}
compdef _orchd orchd
`;
}
