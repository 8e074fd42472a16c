import type { Command } from 'commander';
import type { Act, Verb } from '../command.ts';

type Loader = () => Promise<Verb>;

interface Noun {
  summary: string;
  verbs: Readonly<Record<string, Loader>>;
}

/** All that the command line can do. A verb's code is loaded only when it is meant, since loading is most of what a short command costs. */
const COMMANDS: Readonly<Record<string, Noun | Loader>> = {
  swarm: {
    summary: 'Manage Swarm',
    verbs: {
      ca: async () => (await import('./swarm/ca.ts')).addCa,
      init: async () => (await import('./swarm/init.ts')).addInit,
      join: async () => (await import('./swarm/join.ts')).addJoin,
      'join-token': async () => (await import('./swarm/join-token.ts')).addJoinToken,
      leave: async () => (await import('./swarm/leave.ts')).addLeave,
      unlock: async () => (await import('./swarm/unlock.ts')).addUnlock,
      'unlock-key': async () => (await import('./swarm/unlock-key.ts')).addUnlockKey,
      update: async () => (await import('./swarm/update.ts')).addUpdate,
    },
  },
  node: {
    summary: 'Manage Swarm nodes',
    verbs: {
      demote: async () => (await import('./node/role.ts')).addDemote,
      inspect: async () => (await import('./node/inspect.ts')).addInspect,
      ls: async () => (await import('./node/ls.ts')).addLs,
      promote: async () => (await import('./node/role.ts')).addPromote,
      ps: async () => (await import('./node/ps.ts')).addPs,
      rm: async () => (await import('./node/rm.ts')).addRm,
      update: async () => (await import('./node/update.ts')).addUpdate,
    },
  },
  network: {
    summary: 'Manage networks',
    verbs: {
      check: async () => (await import('./network/check.ts')).addCheck,
      connect: async () => (await import('./network/connect.ts')).addConnect,
      create: async () => (await import('./network/create.ts')).addCreate,
      disconnect: async () => (await import('./network/connect.ts')).addDisconnect,
      inspect: async () => (await import('./network/inspect.ts')).addInspect,
      ls: async () => (await import('./network/ls.ts')).addLs,
      prune: async () => (await import('./network/prune.ts')).addPrune,
      rm: async () => (await import('./network/rm.ts')).addRm,
      trace: async () => (await import('./network/trace.ts')).addTrace,
    },
  },
  service: {
    summary: 'Manage Swarm services',
    verbs: {
      create: async () => (await import('./service/create.ts')).addCreate,
      inspect: async () => (await import('./service/inspect.ts')).addInspect,
      ls: async () => (await import('./service/ls.ts')).addLs,
      ps: async () => (await import('./service/ps.ts')).addPs,
      rm: async () => (await import('./service/rm.ts')).addRm,
      rollback: async () => (await import('./service/rollback.ts')).addRollback,
      scale: async () => (await import('./service/scale.ts')).addScale,
      update: async () => (await import('./service/update.ts')).addUpdate,
    },
  },
  daemon: async () => (await import('./daemon.ts')).addDaemon,
};

/**
 * Adds the command that the first words of a command line mean. Where a word means none (help, an alias, a mistake) all that it
 * could be are added.
 */
export async function addCommands(program: Command, act: Act, [first, second]: readonly string[]): Promise<void> {
  for (const [name, entry] of meantBy(first, COMMANDS)) {
    if (typeof entry === 'function') {
      (await entry())(program, act);
      continue;
    }
    const noun = program.command(name).description(entry.summary).enablePositionalOptions();
    for (const [, load] of meantBy(second, entry.verbs)) (await load())(noun, act);
  }
}

function meantBy<T>(word: string | undefined, entries: Readonly<Record<string, T>>): [string, T][] {
  const all = Object.entries(entries);
  const meant = all.filter(([name]) => name === word);
  return meant.length > 0 ? meant : all;
}
