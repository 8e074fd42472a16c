import { describe, expect, it } from 'vitest';
import type { AddressFamily } from '../../../../../proto/objects/diagnosis/path.ts';
import {
  echoFilter,
  echoRequest,
  isEchoReply,
  readFrame,
} from '../../../../../worker/network/diagnosis/echo-packet.ts';
import type { FilterInstruction } from '../../../../../worker/network/system/raw-socket.ts';

const MARKER = Buffer.from('0011223344556677', 'hex');
const OTHER = Buffer.from('0011223344556678', 'hex');

/** An IPv4 header without options. */
function ip4(protocol: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(protocol, 9);
  header.set([192, 168, 0, 1], 12);
  header.set([192, 168, 0, 2], 16);
  return Buffer.concat([header, payload]);
}

/** From fd00::1 to fd00::2. */
function ip6(protocol: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  header.writeUInt8(protocol, 6);
  for (const [at, last] of [
    [8, 1],
    [24, 2],
  ] as const) {
    header.writeUInt16BE(0xfd00, at);
    header.writeUInt8(last, at + 15);
  }
  return Buffer.concat([header, payload]);
}

const WRAP = { 4: ip4, 6: ip6 };
const ICMP = { 4: 1, 6: 58 };
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd };

function ethernet(payload: Buffer, family: AddressFamily): Buffer {
  const header = Buffer.alloc(14);
  header.writeUInt16BE(ETHERTYPE[family], 12);
  return Buffer.concat([header, payload]);
}

function echoFrame(message: Buffer, family: AddressFamily): Buffer {
  return ethernet(WRAP[family](ICMP[family], message), family);
}

function tunnelled(frame: Buffer, port: number, outer: AddressFamily): Buffer {
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(port, 2);
  return ethernet(WRAP[outer](17, Buffer.concat([udp, Buffer.alloc(8), frame])), outer);
}

function reply(request: Buffer, family: AddressFamily): Buffer {
  const bytes = Buffer.from(request);
  bytes.writeUInt8(family === 4 ? 0 : 129, 0);
  return bytes;
}

/** What the kernel does with a filter (Linux networking/filter.rst): whether it lets the frame pass. */
function passes(filter: readonly FilterInstruction[], frame: Buffer): boolean {
  let value = 0;
  for (let at = 0; at < filter.length; at++) {
    const [code, onTrue, onFalse, operand] = filter[at] ?? [0, 0, 0, 0];
    if (code === 0x06) return operand > 0;
    if (code === 0x15) {
      at += value === operand ? onTrue : onFalse;
      continue;
    }
    const length = code === 0x28 ? 2 : 1;
    if (operand + length > frame.length) return false;
    value = length === 2 ? frame.readUInt16BE(operand) : frame.readUInt8(operand);
  }
  throw new Error('the filter has no end');
}

describe.each([4, 6] as const)('echo packets of IPv%i', (family) => {
  const request = echoRequest(MARKER, 3, 104, family);
  const wrap = (message: Buffer): Buffer => (family === 4 ? ip4(1, message) : message);

  it.each([
    { id: 'the answer', packet: reply(request, family), sequence: 3, is: true },
    { id: 'the request itself', packet: request, sequence: 3, is: false },
    { id: 'the answer to another one', packet: reply(request, family), sequence: 4, is: false },
    { id: 'one with another marker', packet: reply(echoRequest(OTHER, 3, 84, family), family), sequence: 3, is: false },
    { id: 'one cut short', packet: reply(request, family).subarray(0, 10), sequence: 3, is: false },
  ])('are told from the answer: $id', ({ packet, sequence, is }) => {
    expect(isEchoReply(wrap(packet), MARKER, sequence, family)).toBe(is);
  });

  const bare = echoFrame(request, family);
  const found = (packet: string, tunnelTo = ''): object => ({ packet, family, tunnelTo });
  it.each([
    { id: 'bare request', frame: bare, is: found('request') },
    { id: 'bare reply', frame: echoFrame(reply(request, family), family), is: found('reply') },
    { id: 'in a tunnel', frame: tunnelled(bare, 4789, 4), is: found('request', '192.168.0.2') },
    { id: 'in a tunnel over IPv6', frame: tunnelled(bare, 4789, 6), is: found('request', 'fd00::2') },
    { id: 'in a tunnel of another port', frame: tunnelled(bare, 4790, 4), is: undefined, kept: true },
    { id: 'in a tunnel over IPv6 of another port', frame: tunnelled(bare, 4790, 6), is: undefined, kept: true },
    { id: 'of another trace', frame: echoFrame(echoRequest(OTHER, 1, 84, family), family), is: undefined },
    { id: 'cut short', frame: bare.subarray(0, 45), is: undefined },
    { id: 'empty', frame: Buffer.alloc(0), is: undefined },
    { id: 'a tunnel cut short', frame: tunnelled(bare, 4789, 4).subarray(0, 60), is: undefined },
    { id: 'a tunnel over IPv6 cut short', frame: tunnelled(bare, 4789, 6).subarray(0, 80), is: undefined },
    { id: 'of another protocol', frame: ethernet(WRAP[family](6, request), family), is: undefined, kept: true },
    {
      id: 'under the protocol of the other family',
      frame: ethernet(WRAP[family](ICMP[family === 4 ? 6 : 4], request), family),
      is: undefined,
      kept: true,
    },
  ])('are found in frames: $id', ({ frame, is, kept }) => {
    expect(readFrame(frame, MARKER, 4789)).toEqual(is);
    const filter = echoFilter(4789);
    if (is !== undefined) expect(passes(filter, frame)).toBe(true);
    if (kept === true) expect(passes(filter, frame)).toBe(false);
  });
});

describe('echo packets', () => {
  it.each([
    { family: 4 as const, bytes: 64 },
    { family: 6 as const, bytes: 44 },
  ])('have the asked size, with the IP header: IPv$family', ({ family, bytes }) => {
    expect(echoRequest(MARKER, 3, 84, family)).toHaveLength(bytes);
  });

  it('of IPv4 have a checksum that adds up (RFC 1071)', () => {
    const request = echoRequest(MARKER, 3, 84, 4);
    let sum = 0;
    for (let at = 0; at < request.length; at += 2) sum += request.readUInt16BE(at);
    expect(((sum & 0xffff) + (sum >>> 16)) & 0xffff).toBe(0xffff);
  });
});
