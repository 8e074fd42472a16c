import ipaddr from 'ipaddr.js';
import type { Announcement } from '../overlay/moved-addresses.ts';

/** Frames that tell all hosts of a link the MAC of an address, so that those that have another one for it replace it. */

const ETHERNET_BYTES = 14;
const IP6_BYTES = 40;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IP6 = 0x86dd;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** All nodes on the link: ff02::1, and its MAC (RFC 4291 2.7.1, RFC 2464 7). */
const ALL_NODES = 'ff02::1';
const ALL_NODES_MAC = '33:33:00:00:00:01';
const PROTOCOL_ICMP6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** Replaces what is known (RFC 4861 4.4). */
const FLAG_OVERRIDE = 0x20000000;
const OPTION_TARGET_MAC = 2;

export function announcementFrame(announcement: Announcement): Buffer {
  return announcement.address.includes(':') ? neighbourAdvertisement(announcement) : arpAnnouncement(announcement);
}

/** RFC 5227 2.3: a request for the sender's own address. */
function arpAnnouncement({ address, mac }: Announcement): Buffer {
  const ip = bytesOf(address);
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0); // Ethernet
  arp.writeUInt16BE(0x0800, 2);
  arp.set([6, 4], 4); // lengths of MAC and address
  arp.writeUInt16BE(1, 6); // request
  arp.set(macBytes(mac), 8);
  arp.set(ip, 14);
  arp.set(ip, 24);
  return Buffer.concat([ethernet(BROADCAST, mac, ETHERTYPE_ARP), arp]);
}

/** RFC 4861 7.2.6: an unsolicited one, to all nodes. */
function neighbourAdvertisement({ address, mac }: Announcement): Buffer {
  const target = bytesOf(address);
  const message = Buffer.alloc(32);
  message.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  message.writeUInt32BE(FLAG_OVERRIDE, 4);
  message.set(target, 8);
  message.set([OPTION_TARGET_MAC, 1, ...macBytes(mac)], 24);
  const header = Buffer.alloc(IP6_BYTES);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(message.length, 4);
  header.set([PROTOCOL_ICMP6, 255], 6); // hop limit: from this link and nowhere else
  header.set(target, 8);
  header.set(bytesOf(ALL_NODES), 24);
  message.writeUInt16BE(checksum(header, message), 2);
  return Buffer.concat([ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IP6), header, message]);
}

function ethernet(to: string, from: string, type: number): Buffer {
  const header = Buffer.alloc(ETHERNET_BYTES);
  header.set(macBytes(to), 0);
  header.set(macBytes(from), 6);
  header.writeUInt16BE(type, 12);
  return header;
}

/** Over the pseudo-header too (RFC 8200 8.1). */
function checksum(header: Buffer, message: Buffer): number {
  const length = Buffer.alloc(8);
  length.writeUInt32BE(message.length, 0);
  length.writeUInt32BE(PROTOCOL_ICMP6, 4);
  const all = Buffer.concat([header.subarray(8), length, message]);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function bytesOf(address: string): number[] {
  return ipaddr.parse(address).toByteArray();
}

function macBytes(mac: string): number[] {
  return mac.split(':').map((octet) => Number.parseInt(octet, 16));
}
