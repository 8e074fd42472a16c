import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AddressWatch } from '../../../../cli/daemon/address-watch.ts';
import type { Interfaces } from '../../../../cli/daemon/addresses.ts';
import type { MemberConfig } from '../../../../cli/daemon/member-config.ts';
import { relocated } from '../../../../cli/daemon/relocation.ts';
import type { Log } from '../../../../proto/runtime/log.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

/** Two looks, and a little. */
const NOTICED_MS = 4_500;

describe('AddressWatch', () => {
  const clock = new VirtualClock();
  let config: MemberConfig | undefined;
  let interfaces: Record<string, string[]>;
  /** It cannot be told cheaply. */
  let unsure: boolean;
  let moves: string[];
  let errors: string[];
  let looks: number;
  let watch: AddressWatch;

  const all = (): Interfaces => new Map(Object.entries({ lo: ['127.0.0.1'], ...interfaces }));
  const log = { ...silentLog, error: (fields: { error: string }) => void errors.push(fields.error) } as unknown as Log;

  beforeEach(async () => {
    config = {
      listen: { host: '0.0.0.0', port: 2377 },
      advertise: { host: '10.0.0.1', port: 2377 },
      dataPathAddress: '10.0.0.1',
      interfaces: { '10.0.0.1': 'eth0' },
      remoteAddrs: [],
    };
    interfaces = { eth0: ['10.0.0.1'] };
    unsure = false;
    moves = [];
    errors = [];
    looks = 0;
    watch = new AddressWatch({
      config: () => config,
      hasAddress: async (address) => !unsure && [...all().values()].flat().includes(address),
      all: async () => {
        looks++;
        return all();
      },
      move: async () => {
        if (config === undefined) return;
        config = relocated(config, all());
        moves.push(config.advertise.host);
      },
      clock,
      log,
    });
    await watch.start();
  });
  afterEach(() => watch.stop());

  it('costs nothing while nothing has changed', async () => {
    await clock.advance(60_000);
    expect([moves, errors, looks]).toEqual([[], [], 0]);
  });

  it('follows the host to its new address, and to the next one', async () => {
    interfaces = { eth0: ['10.0.0.7'] };
    await clock.advance(NOTICED_MS);
    interfaces = { eth0: ['10.0.0.8'] };
    await clock.advance(NOTICED_MS);
    await clock.advance(60_000);
    expect([moves, errors]).toEqual([['10.0.0.7', '10.0.0.8'], []]);
  });

  it('does not mind an address that is away for a moment', async () => {
    interfaces = { eth0: ['10.0.0.7'] };
    await clock.advance(2_000);
    interfaces = { eth0: ['10.0.0.1', '10.0.0.7'] };
    await clock.advance(60_000);
    expect(moves).toEqual([]);
  });

  it('stays while it is another one at each look', async () => {
    for (let last = 2; last < 20; last++) {
      interfaces = { eth0: [`10.0.0.${last}`] };
      await clock.advance(2_000);
    }
    expect(moves).toEqual([]);
  });

  it('stays when a closer look finds the address, whatever other interface there is', async () => {
    interfaces = { eth0: ['10.0.0.1'], eth1: ['10.1.0.1'] };
    unsure = true;
    await clock.advance(60_000);
    expect([moves, errors]).toEqual([[], []]);
    expect(looks).toBeGreaterThan(10);
  });

  it('waits for an interface that has no address, says so once, and goes on when it has one', async () => {
    interfaces = { eth0: [], eth1: ['10.1.0.1'] };
    await clock.advance(60_000);
    expect([moves, errors]).toEqual([[], [expect.stringContaining('which this host no longer has')]]);
    interfaces = { eth0: ['10.0.0.7'], eth1: ['10.1.0.1'] };
    await clock.advance(NOTICED_MS);
    expect(moves).toEqual(['10.0.0.7']);
  });

  it('does not replace an address that was given, but says what to do', async () => {
    if (config !== undefined) config = { ...config, fixed: ['advertise-addr'] };
    interfaces = { eth0: ['10.0.0.7'] };
    await clock.advance(60_000);
    expect([moves, errors]).toEqual([
      [],
      [expect.stringMatching(/^10\.0\.0\.1, given with --advertise-addr, is no longer .* restart the daemon/)],
    ]);
    interfaces = { eth0: ['10.0.0.1'] };
    await clock.advance(60_000);
    interfaces = { eth0: ['10.0.0.7'] };
    await clock.advance(60_000);
    expect(errors).toHaveLength(2);
  });

  it('looks at nothing while the node is in no swarm', async () => {
    config = undefined;
    interfaces = {};
    await clock.advance(60_000);
    expect([moves, errors, looks]).toEqual([[], [], 0]);
  });
});
