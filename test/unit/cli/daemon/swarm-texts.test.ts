import { describe, expect, it } from 'vitest';
import { managerMustForce, managerStats } from '../../../../cli/daemon/swarm-texts.ts';
import type { ApiObject } from '../../../../manager/controlapi/control-api.ts';

/** What docker.io 20.10.24 answered in each of these cases. */
const FIRST = 'You are attempting to leave the swarm on a node that is participating as a manager. ';
const RESTORE =
  'The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message.';
const out = (left: number, of: number): string =>
  `Removing this node leaves ${left} managers out of ${of}. Without a Raft quorum your swarm will be inaccessible. `;

describe('leaving without force', () => {
  const CASES = [
    {
      id: 'the only manager',
      states: ['reachable'],
      text: `${FIRST}Removing the last manager erases all current state of the swarm. Use \`--force\` to ignore this message. `,
    },
    { id: 'one of two', states: ['reachable', 'reachable'], text: `${FIRST}${out(1, 2)}${RESTORE}` },
    { id: 'one of three', states: ['reachable', 'reachable', 'reachable'], text: `${FIRST}${RESTORE}` },
    {
      id: 'one of three, another one down',
      states: ['reachable', 'reachable', 'unreachable'],
      text: `${FIRST}${out(1, 3)}${RESTORE}`,
    },
  ];
  it.each(CASES)('$id', ({ states, text }) => {
    const nodes = states.map((Reachability, at) => ({ ID: `n${at}`, ManagerStatus: { Reachability, Addr: '' } }));
    const stats = managerStats([...nodes, { ID: 'worker' }] as unknown as ApiObject[], 'n0');
    expect(managerMustForce(stats)).toMatchObject({ code: 'unavailable', message: text });
  });

  it('while no leader answers', () => {
    expect(managerMustForce(undefined).message).toBe(`${FIRST}${RESTORE}`);
  });
});
