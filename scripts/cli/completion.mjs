/** Scripts for shells, made from the commands. */

const SHELLS = ['bash', 'zsh', 'fish'];

/** Paths of commands and what may follow each: `push` is followed by `start`, `list`, … */
function words(command, path = []) {
  const options = command.options.map(({ long }) => long);
  const names = command.commands.map((each) => each.name()).filter((name) => name !== 'help');
  return [
    { path, next: [...names, ...options] },
    ...command.commands.flatMap((each) => words(each, [...path, each.name()])),
  ];
}

const bash = (all) => `_webrtc_transponder() {
  local words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [[ $word == -* ]] || words+="$word "; done
  local next=""
  case "$words" in
${all
  .toSorted((a, b) => b.path.length - a.path.length)
  .map(({ path, next }) => `    "${path.map((name) => `${name} `).join('')}"*) next="${next.join(' ')}" ;;`)
  .join('\n')}
  esac
  COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _webrtc_transponder webrtc-transponder
`;

const fish = (all) =>
  all
    .map(({ path, next }) => {
      const seen =
        path.length === 0
          ? '__fish_use_subcommand'
          : path.map((name) => `__fish_seen_subcommand_from ${name}`).join('; and ');
      return `complete -c webrtc-transponder -f -n '${seen}' -a '${next.join(' ')}'\n`;
    })
    .join('');

/** @param {import('commander').Command} program */
export function addCompletion(program) {
  program
    .command('completion')
    .description('print the completion for a shell: webrtc-transponder completion bash >> ~/.bashrc')
    .argument('<shell>', SHELLS.join(', '))
    .action((shell) => {
      if (!SHELLS.includes(shell)) program.error(`error: the shell must be one of ${SHELLS.join(', ')}`);
      const all = words(program);
      process.stdout.write(
        shell === 'fish'
          ? fish(all)
          : `${shell === 'zsh' ? 'autoload -U bashcompinit && bashcompinit\n' : ''}${bash(all)}`,
      );
    });
}
