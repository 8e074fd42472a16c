import { describe, expect, it } from 'vitest';
import { checkEngine, searchPath, udpInodesOn } from '../../../../cli/daemon/preflight.ts';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops';
const line = (local: string, inode: number): string =>
  `  42: ${local} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ${inode} 2 0000000000000000 0`;

describe('the sockets on the data path port', () => {
  it.each([
    { id: 'nobody', table: HEAD, inodes: [] },
    { id: 'no table', table: '', inodes: [] },
    { id: 'on every address', table: `${HEAD}\n${line('00000000:12B5', 4711)}`, inodes: ['4711'] },
    { id: 'on one address', table: `${HEAD}\n${line('0D4DA8C0:12B5', 4711)}`, inodes: ['4711'] },
    { id: 'IPv6', table: `${HEAD}\n${line(`${'0'.repeat(32)}:12B5`, 4711)}`, inodes: ['4711'] },
    {
      id: 'two',
      table: `${HEAD}\n${line('0D4DA8C0:12B5', 4711)}\n${line('0E4DA8C0:12B5', 4712)}`,
      inodes: ['4711', '4712'],
    },
    { id: 'another port', table: `${HEAD}\n${line('00000000:12B6', 4711)}`, inodes: [] },
    {
      id: 'the port as a remote one',
      table: `${HEAD}\n${line('00000000:0035', 1).replace('00000000:0000', '00000000:12B5')}`,
      inodes: [],
    },
  ])('$id', ({ table, inodes }) => {
    expect(udpInodesOn(table, 4789)).toEqual(inodes);
  });
});

describe('the search path', () => {
  it.each([
    { id: 'empty', given: '', first: '/usr/local/sbin' },
    { id: 'without system folders', given: '/opt/x', first: '/opt/x' },
    { id: 'with empty entries', given: ':/opt/x:', first: '/opt/x' },
  ])('$id', ({ given, first }) => {
    const folders = searchPath(given);
    expect(folders[0]).toBe(first);
    expect(folders).toEqual(expect.arrayContaining(['/usr/sbin', '/sbin', '/usr/bin']));
    expect(new Set(folders).size).toBe(folders.length);
    expect(folders).not.toContain('');
  });
});

describe('the engine', () => {
  it('is refused while it is in a swarm of its own, with the way out', () => {
    expect(() => checkEngine({ Swarm: { LocalNodeState: 'active' } }, '/s')).toThrow(
      'the Docker Engine at /s is in a swarm of its own (active). Take it out first: docker -H unix:///s swarm leave --force',
    );
    checkEngine({ Swarm: { LocalNodeState: 'inactive' } }, '/s');
    checkEngine({}, '/s');
  });
});
