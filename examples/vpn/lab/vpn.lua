-- What tshark does not know: GUE (variant 0), minimal encapsulation, and streams of packets over TCP.
local ip = Dissector.get("ip")
local bad = ProtoExpert.new("ipelab.bad", "Bad tunnel header", expert.group.CHECKSUM, expert.severity.ERROR)

local gue = Proto("gue_lab", "Generic UDP Encapsulation")
function gue.dissector(buffer, packet, tree)
    local first = buffer(0, 1):uint()
    if first >= 64 then
        return ip:call(buffer, packet, tree) -- variant 1
    end
    return ip:call(buffer(4 + (first % 32) * 4):tvb(), packet, tree)
end
DissectorTable.get("udp.port"):add(6080, gue)

local function sum(bytes, from, len)
    local total = 0
    for at = from, from + len - 1, 2 do
        total = total + bytes:get_index(at) * 256 + bytes:get_index(at + 1)
    end
    while total > 0xffff do
        total = total % 0x10000 + math.floor(total / 0x10000)
    end
    return total
end

local minenc = Proto("minenc_lab", "Minimal Encapsulation")
minenc.experts = { bad }
local outer_tos, outer_id, outer_off, outer_ttl = Field.new("ip.dsfield"), Field.new("ip.id"), Field.new("ip.flags"), Field.new("ip.ttl")
local outer_src = Field.new("ip.src")
local function last(field)
    local all = { field() }
    return all[#all]
end
function minenc.dissector(buffer, packet, tree)
    local bytes = buffer:bytes()
    local has_source = buffer(1, 1):uint() >= 128
    local len = has_source and 12 or 8
    if sum(bytes, 0, len) ~= 0xffff then
        tree:add_proto_expert_info(bad)
    end
    -- The packet as it was, so that the inner checksums are judged with the addresses they were made for.
    local head = ByteArray.new("4500000000000000400000000000000000000000")
    local total = buffer:len() - len + 20
    head:set_index(2, math.floor(total / 256))
    head:set_index(3, total % 256)
    head:set_index(9, bytes:get_index(0))
    for at = 0, 3 do
        head:set_index(16 + at, bytes:get_index(4 + at))
        if has_source then
            head:set_index(12 + at, bytes:get_index(8 + at))
        end
    end
    if not has_source then
        local source = last(outer_src).range:bytes()
        for at = 0, 3 do
            head:set_index(12 + at, source:get_index(at))
        end
    end
    local check = 0xffff - sum(head, 0, 20)
    head:set_index(10, math.floor(check / 256))
    head:set_index(11, check % 256)
    head:append(buffer(len):bytes())
    return ip:call(head:tvb("inner packet"), packet, tree)
end
DissectorTable.get("ip.proto"):add(55, minenc)

-- Frames of a length and a packet (RFC 9329 for the one that counts itself).
local function stream(name, port, counted)
    local proto = Proto(name, "Packets over TCP: " .. name)
    local function frame_len(buffer, _, offset)
        local len = buffer(offset, 2):uint()
        return counted and math.max(len, 2) or len + 2
    end
    local function frame(buffer, packet, tree)
        if buffer:len() > 2 then
            ip:call(buffer(2):tvb(), packet, tree)
        end
        return buffer:len()
    end
    function proto.dissector(buffer, packet, tree)
        -- The magic bytes that the one that connects sends first.
        if buffer:len() >= 6 and buffer(0, 6):string() == "IKETCP" then
            buffer = buffer(6):tvb()
        end
        if buffer:len() == 0 then
            return
        end
        dissect_tcp_pdus(buffer, tree, 2, frame_len, frame)
        return buffer:len()
    end
    DissectorTable.get("tcp.port"):add(port, proto)
end
stream("ipelab_exclusive", 7002, false)
stream("ipelab_inclusive", 7004, true)
