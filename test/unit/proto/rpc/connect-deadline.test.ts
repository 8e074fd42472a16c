import { connectivityState } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { CONNECT_WITHIN_MS, ConnectDeadline } from '../../../../proto/rpc/connect-deadline.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

const { IDLE, CONNECTING, TRANSIENT_FAILURE, READY } = connectivityState;

describe('ConnectDeadline', () => {
  const cases: { id: string; looks: [afterMs: number, state: connectivityState, passed: boolean][] }[] = [
    {
      id: 'passes when a channel is never ready',
      looks: [
        [0, IDLE, false],
        [CONNECT_WITHIN_MS, CONNECTING, false],
        [1, CONNECTING, true],
      ],
    },
    {
      id: 'counts failures and new tries as one wait',
      looks: [
        [0, CONNECTING, false],
        [3_000, TRANSIENT_FAILURE, false],
        [2_001, CONNECTING, true],
      ],
    },
    {
      id: 'begins anew after the channel was ready',
      looks: [
        [0, CONNECTING, false],
        [4_000, READY, false],
        [60_000, READY, false],
        [1_000, CONNECTING, false],
        [CONNECT_WITHIN_MS, CONNECTING, false],
        [1, CONNECTING, true],
      ],
    },
  ];
  it.each(cases)('$id', async ({ looks }) => {
    const clock = new VirtualClock();
    const deadline = new ConnectDeadline(clock);
    for (const [afterMs, state, passed] of looks) {
      await clock.advance(afterMs);
      expect(deadline.passed({ getConnectivityState: () => state })).toBe(passed);
    }
  });
});
