import { expect, it } from 'vitest';
import { tcpThroughput, udpThroughput } from '../../bench/iperf-report.ts';

it('TCP counts what was received', () => {
  const end = { sum_sent: { bits_per_second: 9e9 }, sum_received: { bits_per_second: 8.5e9 } };
  expect(tcpThroughput(JSON.stringify({ end }))).toBe(8.5);
});

it('UDP counts what was sent less what was lost', () => {
  const end = { sum: { seconds: 2, bytes: 500_000_000, bits_per_second: 2e9, lost_percent: 25 } };
  expect(udpThroughput(JSON.stringify({ end }))).toEqual({ gigabits: 1.5, lostPercent: 25 });
});

it('a failure is told in its own words', () => {
  const output = JSON.stringify({ start: {}, end: {}, error: 'unable to connect to server: Connection refused' });
  expect(() => tcpThroughput(output)).toThrow('iperf3: unable to connect to server: Connection refused');
  expect(() => udpThroughput(output)).toThrow('Connection refused');
});
