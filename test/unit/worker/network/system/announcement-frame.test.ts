import { describe, expect, it } from 'vitest';
import { announcementFrame } from '../../../../../worker/network/system/announcement-frame.ts';

const MAC = '02:42:0a:00:00:05';
const MAC_HEX = MAC.replaceAll(':', '');

describe('announcementFrame', () => {
  it('of IPv4 is a broadcast ARP request for the sender’s own address (RFC 5227)', () => {
    const ip = '0a000005';
    const arp = `0001 0800 06 04 0001 ${MAC_HEX} ${ip} 000000000000 ${ip}`;
    const frame = `ffffffffffff ${MAC_HEX} 0806 ${arp}`.replaceAll(' ', '');
    expect(announcementFrame({ address: '10.0.0.5', mac: MAC }).toString('hex')).toBe(frame);
  });

  it('of IPv6 is an advertisement to all nodes that overrides (RFC 4861)', () => {
    const frame = announcementFrame({ address: 'fd00::5', mac: MAC });
    const [source, all] = ['fd000000000000000000000000000005', 'ff020000000000000000000000000001'];
    const header = `333300000001 ${MAC_HEX} 86dd 60000000 0020 3a ff ${source} ${all}`.replaceAll(' ', '');
    const message = `88 00 CCCC 20000000 ${source} 02 01 ${MAC_HEX}`.replaceAll(' ', '');
    const hex = frame.toString('hex');
    expect(hex.slice(0, header.length)).toBe(header);
    expect(hex.slice(header.length).replace(/^(.{4}).{4}/, '$1CCCC')).toBe(message);
    // Over the pseudo-header and the message, the checksum included, all sums up to ones (RFC 8200 8.1).
    const summed = Buffer.concat([frame.subarray(22, 54), Buffer.from('000000200000003a', 'hex'), frame.subarray(54)]);
    let sum = 0;
    for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    expect(sum).toBe(0xffff);
  });
});
