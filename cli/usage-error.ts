import { type Command, CommanderError } from 'commander';
import { CommandError } from './command.ts';

const BAD_FLAGS = 125;

/** What is wrong with a command line, in docker's words and with docker's exit status; other errors as they are. */
export function explainUsage(program: Command, argv: readonly string[], error: unknown): unknown {
  const name = commandName(program, argv);
  if (error instanceof CommandError && error.exitCode === BAD_FLAGS) {
    return new CommandError(`${error.message}\nSee '${name} --help'.`, BAD_FLAGS);
  }
  return error instanceof CommanderError ? explainCommander(name, error) : error;
}

function explainCommander(name: string, error: CommanderError): CommandError {
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  const advice = `See '${name} --help'.`;
  switch (error.code) {
    case 'commander.unknownOption':
      return new CommandError(`${unknownFlag(quoted)}\n${advice}`, BAD_FLAGS);
    case 'commander.optionMissingArgument': {
      const flag = quoted.split(/[ ,]/)[0] ?? '';
      const long = /--[\w-]+/.exec(quoted)?.[0] ?? flag;
      return new CommandError(`flag needs an argument: ${long}\n${advice}`, BAD_FLAGS);
    }
    case 'commander.excessArguments':
      return new CommandError(`"${name}" accepts no arguments.\n${advice}`);
    case 'commander.unknownCommand':
      return new CommandError(`waggle: '${quoted}' is not a ${name} command.\n${advice}`);
    default:
      return new CommandError(error.message.replace(/^error: /, ''), error.exitCode === 0 ? 0 : BAD_FLAGS);
  }
}

function unknownFlag(word: string): string {
  if (word.startsWith('--')) return `unknown flag: ${word}`;
  return `unknown shorthand flag: '${word.slice(1, 2)}' in ${word}`;
}

/** `waggle service create` of what was typed. */
function commandName(program: Command, argv: readonly string[]): string {
  const names = [program.name()];
  let command = program;
  for (const word of argv) {
    const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next === undefined) continue;
    names.push(next.name());
    command = next;
    if (command.commands.length === 0) break;
  }
  return names.join(' ');
}
