/**
 * Scripts for shells. They know nothing of the commands: `sluice complete` is asked at every press of
 * the key (see complete.ts for its answer), so a script that was saved never gets out of date.
 */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

export function scriptOf(shell: Shell): string {
  return SCRIPTS[shell];
}

// Readline takes "=" and ":" for the ends of words: an answer replaces what is after the last one.
const BASH = `# bash completion for sluice
_sluice() {
  local line=\${COMP_LINE:0:COMP_POINT} current=\${COMP_WORDS[COMP_CWORD]} words answer
  read -ra words <<<"$line"
  [[ $line != *[[:space:]] ]] || words+=('')
  [[ $current != [=:] ]] || current=
  mapfile -t answer < <(sluice complete -- "\${words[@]:1}" 2>/dev/null)
  case \${answer[0]-} in
    :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    :folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    :commands) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    *) COMPREPLY=("\${answer[@]%%$'\\t'*}") ;;
  esac
}
complete -F _sluice sluice
`;

const ZSH = `# zsh completion for sluice
_sluice() {
  local -a answer=("\${(@f)$(sluice complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compset -P '-*='
  case $answer[1] in
    :files) _files ;;
    :folders) _files -/ ;;
    :commands) _command_names -e ;;
    ?*)
      answer=("\${(@)answer//:/\\\\:}")
      answer=("\${(@)answer/$'\\t'/:}")
      _describe -V sluice answer
      ;;
  esac
}
compdef _sluice sluice
`;

const FISH = `# fish completion for sluice
function __sluice_complete
  set -l words (commandline --tokenize --current-process --cut-at-cursor)
  set -l current (commandline --current-token --cut-at-cursor)
  set -l answer (sluice complete -- $words[2..] "$current" 2>/dev/null)
  set -l option (string match --regex -- '^-[^=]*=' "$current")
  switch "$answer[1]"
    case :files
      __fish_complete_path "$current"
    case :folders
      __fish_complete_directories "$current" ''
    case :commands
      __fish_complete_command
    case '*'
      string replace --regex -- '^' "$option" $answer
  end
end
complete --command sluice --no-files --arguments '(__sluice_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
